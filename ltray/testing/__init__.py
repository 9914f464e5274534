"""What every method owes, as functions that any test suite can call, for methods outside ltray too."""
