"""The model: a host's memory, its MMU notifiers, a hypervisor's MMU, and VMs in closed loop with a strategy.

This folder contains everything that determines which questions a VM asks about its slots, and in which order.
Structures that answer them do not belong here.

`host/` and `notifier.py` do not depend on a hypervisor; `mmu/` subscribes to them, and its `state.py` has the state
that the faults of a VM share; `vm.py` combines both; `scenario.py` runs a scenario and caches its trace.
"""
