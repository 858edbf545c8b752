"""The gRPC API: unary calls, streams, health."""
