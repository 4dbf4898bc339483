"""Results of the trainings of a study, and significance of their differences."""
