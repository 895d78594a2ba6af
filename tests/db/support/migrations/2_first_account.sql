INSERT INTO account (id, cents) VALUES (1, 1000);
