"""The gRPC face: unary calls, streams, health."""
