"""How fast: training steps beside other libraries.

Every peer learns the same network from the same data in a process of its own; see ``benchmark``.
"""
