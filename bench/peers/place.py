"""Where a peer finds its queue, and how long its handler is to take. Standard library only."""

import os

QUEUE = os.environ.get("BENCH_QUEUE", "")
QUEUE_URL = os.environ.get("BENCH_QUEUE_URL", "")
SQS_URL = os.environ.get("BENCH_SQS_URL", "")
REGION = os.environ.get("AWS_REGION", "us-east-1")
HANDLER_S = float(os.environ.get("BENCH_HANDLER_S", "0"))
RECEIVERS = 10
