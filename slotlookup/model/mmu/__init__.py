"""The hypervisor's side: sptes, reverse maps, ageing policies, and the notifier subscriber that updates them."""
