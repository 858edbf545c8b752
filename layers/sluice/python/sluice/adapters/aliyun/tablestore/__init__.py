"""Task rows and API keys in Alibaba Cloud Tablestore."""
