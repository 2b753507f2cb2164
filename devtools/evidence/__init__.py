"""What stands behind the promises: runs that are recorded, and the page made from them."""
