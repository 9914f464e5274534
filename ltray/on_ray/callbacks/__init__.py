"""What Ray Tune calls while a search runs."""
