"""The inside of the Parquet writer: from columns to typed columns to row groups. Only ``file`` imports the library."""
