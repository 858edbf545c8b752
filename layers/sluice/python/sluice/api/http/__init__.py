"""The HTTP API: JSON, NDJSON, CSV and protobuf bodies, links, events, health."""
