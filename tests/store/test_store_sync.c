/* Power failures, which a kill does not show. A file system below SQLite keeps, beside each file, what of it
   was synced; a power failure leaves just that. Acknowledged rankings must be in it; with synchronous=NORMAL
   they are not, so the test can fail. */
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datasets/store/internal.h"
#include "tests/store/store_test.h"

/* ---- an SQLite VFS that copies a file to FILE.synced whenever it is synced */

typedef struct shim_file {
    sqlite3_file base;
    char path[320];
    int removed;
    sqlite3_file real[]; /* of the system's VFS */
} shim_file;

static sqlite3_vfs *system_vfs;
static int syncs;

static sqlite3_file *real_of(sqlite3_file *f) { return ((shim_file *)f)->real; }

static void copy_file(const char *from, const char *to) {
    buffer text = {0};
    OK(file_read(from, 1 << 28, &text, &err));
    FILE *f = fopen(to, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text.data, 1, text.len, f), text.len);
    fclose(f);
    buffer_free(&text);
}

static int shim_sync(sqlite3_file *f, int flags) {
    shim_file *s = (shim_file *)f;
    char synced[340];
    int rc = s->real->pMethods->xSync(s->real, flags);
    if (s->path[0]) {
        snprintf(synced, sizeof synced, "%s.synced", s->path);
        copy_file(s->path, synced);
        syncs++;
    }
    return rc;
}

static int shim_close(sqlite3_file *f) { return real_of(f)->pMethods->xClose(real_of(f)); }
static int shim_read(sqlite3_file *f, void *out, int n, sqlite3_int64 at) {
    return real_of(f)->pMethods->xRead(real_of(f), out, n, at);
}
static int shim_write(sqlite3_file *f, const void *in, int n, sqlite3_int64 at) {
    return real_of(f)->pMethods->xWrite(real_of(f), in, n, at);
}
static int shim_truncate(sqlite3_file *f, sqlite3_int64 n) {
    return real_of(f)->pMethods->xTruncate(real_of(f), n);
}
static int shim_size(sqlite3_file *f, sqlite3_int64 *n) {
    return real_of(f)->pMethods->xFileSize(real_of(f), n);
}
static int shim_lock(sqlite3_file *f, int level) { return real_of(f)->pMethods->xLock(real_of(f), level); }
static int shim_unlock(sqlite3_file *f, int level) {
    return real_of(f)->pMethods->xUnlock(real_of(f), level);
}
static int shim_reserved(sqlite3_file *f, int *out) {
    return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}
static int shim_control(sqlite3_file *f, int op, void *arg) {
    return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}
static int shim_sector(sqlite3_file *f) { return real_of(f)->pMethods->xSectorSize(real_of(f)); }
static int shim_device(sqlite3_file *f) { return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f)); }
static int shim_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out) {
    return real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, out);
}
static int shim_shm_lock(sqlite3_file *f, int offset, int n, int flags) {
    return real_of(f)->pMethods->xShmLock(real_of(f), offset, n, flags);
}
static void shim_shm_barrier(sqlite3_file *f) { real_of(f)->pMethods->xShmBarrier(real_of(f)); }
static int shim_shm_unmap(sqlite3_file *f, int remove) {
    return real_of(f)->pMethods->xShmUnmap(real_of(f), remove);
}

static const sqlite3_io_methods shim_methods = {
    2,           shim_close,   shim_read,     shim_write,       shim_truncate,  shim_sync,
    shim_size,   shim_lock,    shim_unlock,   shim_reserved,    shim_control,   shim_sector,
    shim_device, shim_shm_map, shim_shm_lock, shim_shm_barrier, shim_shm_unmap, NULL,
    NULL};

static int shim_open(sqlite3_vfs *v, const char *path, sqlite3_file *f, int flags, int *out) {
    (void)v;
    shim_file *s = (shim_file *)f;
    memset(s, 0, sizeof *s);
    int rc = system_vfs->xOpen(system_vfs, path, s->real, flags, out);
    if (path && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)))
        snprintf(s->path, sizeof s->path, "%s", path);
    s->base.pMethods = s->real->pMethods ? &shim_methods : NULL;
    return rc;
}

static void install_shim(void) {
    static sqlite3_vfs shim;
    system_vfs = sqlite3_vfs_find(NULL);
    shim = *system_vfs;
    shim.zName = "synced";
    shim.szOsFile = (int)sizeof(shim_file) + system_vfs->szOsFile;
    shim.xOpen = shim_open;
    sqlite3_vfs_register(&shim, 1);
}

/* ---- the test */

/* What the disk holds after the power failed now, as after.db. */
static void cut_power(place *p) {
    unlink(in(p, "after.db"));
    unlink(in(p, "after.db-wal"));
    unlink(in(p, "after.db-shm"));
    copy_file(in(p, "a.db.synced"), in(p, "after.db"));
    if (path_exists(in(p, "a.db-wal.synced"))) copy_file(in(p, "a.db-wal.synced"), in(p, "after.db-wal"));
}

static int64_t count_after(place *p) {
    store *s = open_store(p, "after.db");
    int64_t n;
    assert_sound(s);
    OK(sql_get(s, &n, NULL, "SELECT count(*) FROM ranking", SQL_NONE, &err));
    store_close(s);
    return n;
}

/* Ranks forty tasks and fails the power after each; checkpoints come every 20 pages. *lost: acknowledged, but
 * gone. */
static void rank_and_fail(place *p, const char *synchronous, int64_t *lost) {
    int64_t ann;
    store *s = store_with_tasks(p, "a.db", 40, 3, 1, &ann);
    *lost = 0;
    OK(sql_exec(s, synchronous, &err));
    OK(sql_exec(s, "PRAGMA wal_autocheckpoint = 20", &err));
    syncs = 0;
    for (int64_t acknowledged = 1; acknowledged <= 40; acknowledged++) {
        store_lease l;
        store_outcome outcome;
        bool found;
        OK(store_lease_next(s, ann, 1, NULL, 0, 1, 60000, &l, &found, &err));
        store_ranking r = first_answer(&l);
        OK(store_add_ranking(s, &r, &outcome, NULL, &err));
        cut_power(p);
        *lost += acknowledged - count_after(p);
    }
    store_close(s);
}

static void acknowledged_rankings_outlive_a_power_failure(void **state) {
    int64_t lost;
    rank_and_fail(*state, "PRAGMA synchronous = FULL", &lost); /* as store_open sets it */
    assert_int_equal(lost, 0);
    assert_true(syncs > 80);
}

static void without_syncs_they_would_not(void **state) {
    int64_t lost;
    rank_and_fail(*state, "PRAGMA synchronous = NORMAL", &lost);
    assert_true(lost > 0);
}

static void a_writer_is_opened_with_full_syncs(void **state) {
    store *s = open_store(*state, "a.db");
    int64_t synchronous;
    OK(sql_get(s, &synchronous, NULL, "PRAGMA synchronous", SQL_NONE, &err));
    assert_int_equal(synchronous, 2);
    store_close(s);
}

int main(void) {
    install_shim();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(acknowledged_rankings_outlive_a_power_failure, place_make,
                                        place_remove),
        cmocka_unit_test_setup_teardown(without_syncs_they_would_not, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_writer_is_opened_with_full_syncs, place_make, place_remove),
    };
    return cmocka_run_group_tests_name("store_sync", tests, NULL, NULL);
}
