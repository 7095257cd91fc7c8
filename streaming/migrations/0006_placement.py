from django.db import migrations, models
import django.db.models.deletion


class Migration(migrations.Migration):

    dependencies = [
        ('streaming', '0005_large_params'),
    ]

    operations = [
        migrations.CreateModel(
            name='Placement',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('queue', models.CharField(db_index=True, max_length=32)),
                ('given', models.JSONField()),
                ('files', models.JSONField(default=dict)),
                ('wishes', models.JSONField()),
                ('token_hash', models.CharField(max_length=64)),
                ('session', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='placement', to='streaming.streamsession')),
            ],
        ),
    ]
