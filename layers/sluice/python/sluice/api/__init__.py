"""How others reach the service: gRPC, HTTP, credentials, answers."""
