"""From a table that fairmoe has never seen to a card of it."""
