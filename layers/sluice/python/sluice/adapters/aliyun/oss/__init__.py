"""Objects and links in Alibaba Cloud OSS."""
