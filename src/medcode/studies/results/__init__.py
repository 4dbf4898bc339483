"""What the trainings of a study gave, and which differences are more than chance."""
