-- One order; its number is the next one.
insert into orders (tenant_id, received_at, channel, total, refund, customer_id, items)
values (?, ?, ?, ?, ?, ?, ?)
