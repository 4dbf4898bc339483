"""One file per command. Heavy libraries are imported when a command runs, so that --help is quick."""
