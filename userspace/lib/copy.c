// SPDX-License-Identifier: MIT
/*
 * Packets by read(), many with each call, into blocks of memory that live until
 * the last packet in them is released.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "client.h"

#define BLOCK_SIZE (64U << 10)

/**
 * struct block - what one read() brought
 * @next: the block that was filled after it
 * @end: number behind that of the last packet that was taken from it
 * @pos: the next record
 * @left: bytes from there on
 * @data: the records, aligned as they are
 */
struct block {
	struct block *next;
	uint64_t end;
	const void *pos;
	size_t left;
	__u64 data[];
};

/**
 * struct copy - blocks, the oldest first
 * @first: the oldest
 * @last: the one that packets are taken from
 * @spare: one that is empty
 * @size: bytes of records that a block has room for
 */
struct copy {
	struct block *first;
	struct block *last;
	struct block *spare;
	size_t size;
};

static int copy_open(struct mydev_client *client)
{
	struct copy *copy = calloc(1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	copy->size = BLOCK_SIZE;
	client->state = copy;
	return 0;
}

/* Also what was read, and nobody has taken yet. */
static void drop_all(struct copy *copy)
{
	struct block *block;

	while ((block = copy->first)) {
		copy->first = block->next;
		free(block);
	}
	copy->last = NULL;
}

static void copy_close(struct mydev_client *client)
{
	struct copy *copy = client->state;

	drop_all(copy);
	free(copy->spare);
	free(copy);
}

/* Blocks whose packets are all released, but the one that more are taken from. */
static void retire(struct copy *copy, uint64_t released)
{
	struct block *block;

	while ((block = copy->first) && !block->left &&
	       block->end <= released) {
		copy->first = block->next;
		if (!copy->first)
			copy->last = NULL;
		free(copy->spare);
		copy->spare = block;
	}
}

/* The descriptor may be a blocking one, and shared with others. */
static ssize_t read_now(const struct mydev *dev, void *buf, size_t count)
{
	struct iovec part = { .iov_base = buf, .iov_len = count };
	ssize_t n = preadv2(mydev_fd(dev), &part, 1, -1, RWF_NOWAIT);

	return n < 0 ? -errno : n;
}

static struct block *new_block(struct copy *copy)
{
	struct block *block = copy->spare;

	copy->spare = NULL;
	return block ? block : malloc(sizeof(*block) + copy->size);
}

static int fill_block(struct mydev_client *client)
{
	struct copy *copy = client->state;
	struct block *block;
	ssize_t n;

	for (;;) {
		block = new_block(copy);
		if (!block)
			return -ENOMEM;
		n = read_now(client->dev, block->data, copy->size);
		if (n > 0)
			break;
		if (n != -EMSGSIZE) {
			copy->spare = block;
			return n ? n : -EPROTO;
		}
		/* A transfer can be larger, and the geometry can change. */
		free(block);
		copy->size *= 2;
	}
	block->next = NULL;
	block->end = client->next;
	block->pos = block->data;
	block->left = n;
	if (copy->last)
		copy->last->next = block;
	else
		copy->first = block;
	copy->last = block;
	return 0;
}

static int copy_take(struct mydev_client *client, struct mydev_packet *packet)
{
	struct copy *copy = client->state;
	struct mydev_record record;
	int ret;

	if (!copy->last || !copy->last->left) {
		retire(copy, client->released);
		ret = fill_block(client);
		if (ret)
			return ret;
	}
	ret = mydev_next_record(&copy->last->pos, &copy->last->left, &record);
	if (ret <= 0)
		return ret ? ret : -EPROTO;
	copy->last->end = client->next + 1;
	packet->type = record.header.type;
	packet->flags = record.header.flags;
	packet->status = record.header.status;
	packet->sequence = record.header.sequence;
	packet->timestamp_ns = record.header.timestamp_ns;
	packet->gap_packets = record.gap.packets;
	packet->gap_bytes = record.gap.bytes;
	packet->event = record.event.event;
	if (packet->type == MYDEV_RECORD_PACKET) {
		packet->data = record.payload;
		packet->length = record.header.length;
	} else if (packet->type == MYDEV_RECORD_EVENT) {
		packet->status = record.event.status;
	}
	return 0;
}

static int copy_give(struct mydev_client *client, uint64_t number)
{
	retire(client->state, number + 1);
	return 0;
}

static void copy_rewound(struct mydev_client *client)
{
	drop_all(client->state);
}

const struct way copy_way = {
	.open = copy_open,
	.take = copy_take,
	.give = copy_give,
	.rewound = copy_rewound,
	.close = copy_close,
};
