<?php
// redis_py_queue.py's queue with php-redis as it comes: `php queue.php add|work HOST PORT`.

function say(string ...$words): void
{
    echo implode(' ', $words), "\n";
}

function add(Redis $redis): void
{
    for ($number = 0; ; usleep(20000)) {
        try {
            $redis->lPush('php:jobs', $number);
            say('added', $number++);
        } catch (RedisException $error) {
            say('error', $error->getMessage());
        }
    }
}

function work(Redis $redis): void
{
    for (;;) {
        try {
            $job = $redis->bRPopLPush('php:jobs', 'php:underway', 1);
            if ($job !== false) {
                say('done', $job);
                $redis->lRem('php:underway', $job, 1);
            } else {
                $redis->rPopLPush('php:underway', 'php:jobs');
            }
        } catch (RedisException $error) {
            say('error', $error->getMessage());
        }
    }
}

[, $what, $host, $port] = $argv;
$redis = new Redis();
$redis->connect($host, (int) $port);
$what($redis);
