"""Tries jobfleet on a storage account and a broker that the user names, and removes its traces."""
