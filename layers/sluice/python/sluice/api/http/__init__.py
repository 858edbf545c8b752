"""The HTTP face: JSON, NDJSON, CSV and protobuf bodies, links, events, health."""
