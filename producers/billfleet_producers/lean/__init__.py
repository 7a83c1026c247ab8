"""The lean way to AWS: the JSON protocol over well-kept connections, without the SDK's overhead.

The asynchronous producer and the fleet's workers share it. Where a service is and who we are stays
botocore's answer, asked once. It must not know what any call is for.
"""
