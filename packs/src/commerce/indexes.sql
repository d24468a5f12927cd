-- What a tenant sold in a range of time, and which channels it has.
create index orders_by_time on orders (tenant_id, received_at);
create index orders_by_channel on orders (tenant_id, channel);
