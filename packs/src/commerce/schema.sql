-- An order, as a POS sends it: its items are a list in JSON, its time is in UTC.
create table orders (
    id integer primary key,
    tenant_id text not null,
    received_at text not null,
    channel text not null,
    total real not null,
    refund real,
    customer_id integer not null,
    items text not null
);
