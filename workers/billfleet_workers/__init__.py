"""The workers' room: the engine that delivers messages, its adapters and its handlers."""
