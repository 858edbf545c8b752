"""Objects and links in S3 and its kin, Google Cloud Storage or Azure Blob Storage, over obstore."""
