"""RabbitMQ behind the ports of the work queue, control, live events and dead letters.

Built on aio-pika's plain connections and channels: opening again, declaring again and deciding what
a lost reply means are the business of this package, and one such layer is enough.
"""
