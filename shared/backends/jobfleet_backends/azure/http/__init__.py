"""Requests to Azure Storage: credentials, signing, readers and writers."""
