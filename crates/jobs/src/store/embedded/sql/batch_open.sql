-- Third version of the file: batches that have not finished are listed.
CREATE INDEX batch_open ON batch (created_ms, id) WHERE finished_ms IS NULL;
