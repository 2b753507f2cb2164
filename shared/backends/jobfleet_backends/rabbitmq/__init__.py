"""RabbitMQ behind the ports of the work queue, control, live events and dead letters.

It uses aio-pika's plain connections and channels. This package itself opens again, declares again
and decides what a lost reply means; one such layer is enough.
"""
