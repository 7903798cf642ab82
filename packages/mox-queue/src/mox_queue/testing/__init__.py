"""For tests of what queues mail, and of couriers.

    couriers.py  a courier that does as a table says, and notes what it was given
    values.py    schedules, routes and outcomes drawn at random

values.py needs hypothesis: `pip install mox-queue[testing]`."""
