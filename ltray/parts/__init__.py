"""What two or more methods are made of."""
