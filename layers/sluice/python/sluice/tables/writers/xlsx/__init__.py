"""The inside of the XLSX writer: from columns to worksheets to a workbook."""
