"""How fast: training steps beside other libraries, and where the time of a step goes.

Every peer learns the same network from the same data in a process of its own; see ``benchmark``.
A profile says what a step of one's own network spends its time on; see ``profile_steps``.
"""
