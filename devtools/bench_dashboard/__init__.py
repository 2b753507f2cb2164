"""How fast the dashboard's pages answer where much is stored, and how far viewers are behind."""
