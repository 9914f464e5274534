"""What runs and searches leave behind: folders, tables, finalists, what moved the result."""
