"""From a resolved configuration to live objects: the one place that joins the other rooms."""
