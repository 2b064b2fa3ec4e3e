"""The model: a host's memory, its MMU notifiers, a hypervisor's MMU, and VMs in closed loop with a strategy.

What may come in: whatever decides which questions a VM asks of its slots, and in which order. What answers them does
not.

`host/` and `notifier.py` know nothing of a hypervisor; `mmu/` subscribes to them, and its `state.py` holds what the
faults of a VM share; `vm.py` joins both; `scenario.py` runs a scenario and keeps its trace.
"""
