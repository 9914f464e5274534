"""What runs and searches leave behind: folders, tables, finalists, hyperparameter importance."""
