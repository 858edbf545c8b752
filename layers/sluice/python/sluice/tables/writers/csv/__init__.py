"""The inside of the CSV writer: from columns to fields to lines."""
