"""Readers: rows as senders write them, turned into batches; one reader for HTTP, gRPC and the command line."""
