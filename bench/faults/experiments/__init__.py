"""The experiments, by what they break. `bench.faults.suite` lists them."""
