"""Studies: the tables and figures of the papers, each a small DVC pipeline of rows and seeds beside the main one."""
