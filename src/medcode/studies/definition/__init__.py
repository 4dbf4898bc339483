"""What a study is: its file, the published numbers, and the settings of each of its trainings."""
