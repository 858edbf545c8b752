"""Sessions with database servers, for those who read tables and those who load them; one technology per module."""
