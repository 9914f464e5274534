"""`python -m ltray.paper_tables`: print the page of the documentation with the papers' tables."""

from ltray.paper_tables.table_page import page

if __name__ == "__main__":
    print(page(), end="")
