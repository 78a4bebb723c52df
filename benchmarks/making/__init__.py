"""From a configuration to trained language experts: what is asked, its data, what is finished, what goes together."""
