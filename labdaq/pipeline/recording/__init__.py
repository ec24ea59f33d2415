"""What is kept of a run: `record`, a scan and a folder; `describing`, its configuration; `diagram`, its data flow."""
