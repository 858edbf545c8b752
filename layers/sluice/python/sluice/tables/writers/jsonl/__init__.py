"""The inside of the JSON Lines writer: from columns to members to lines."""
